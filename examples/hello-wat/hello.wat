;; The smallest function that answers: two calls, no allocator, a line of text.
(module
  (import "env" "hostcall_resp_set_header"
    (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "hostcall_resp_set_body"
    (func $set_body (param i32 i32 i32) (result i32)))
  (memory 1)
  (data (i32.const 0) "Hello, world!\n")
  (data (i32.const 16) "content-type")
  (data (i32.const 32) "text/plain")
  ;; One slice, address and length, for the header's only value.
  (data (i32.const 48) "\20\00\00\00\0a\00\00\00")
  (func (export "run")
    ;; Response 0 is the one that goes to the client; its status is 200 unless set.
    (drop (call $set_header (i32.const 0) (i32.const 16) (i32.const 12) (i32.const 48) (i32.const 1)))
    (drop (call $set_body (i32.const 0) (i32.const 0) (i32.const 14)))))
