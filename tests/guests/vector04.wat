;; The body first, then a header, and no status.
(module
  (import "env" "hostcall_resp_set_header" (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "hostcall_resp_set_body" (func $set_body (param i32 i32 i32) (result i32)))
  (memory 1)
  (data (i32.const 0) "body first")
  (data (i32.const 16) "x-later")
  (data (i32.const 32) "\18\00\00\00\03\00\00\00")
  (data (i32.const 24) "yes")
  (func (export "run")
    (drop (call $set_body (i32.const 0) (i32.const 0) (i32.const 10)))
    ;; What was handed over is the host's: this changes nothing.
    (memory.fill (i32.const 0) (i32.const 35) (i32.const 10))
    (drop (call $set_header (i32.const 0) (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 1)))))
