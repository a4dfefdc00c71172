;; No allocator, and a memory that is not exported: asking for a header that is absent needs neither. One header of five
;; values becomes five lines.
(module
  (import "env" "hostcall_req_get_header" (func $get_header (param i32 i32 i32 i32 i32)))
  (import "env" "hostcall_resp_set_header" (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (memory 1)
  (data (i32.const 16) "x-absent-header")
  (data (i32.const 32) "x-five")
  (data (i32.const 40) "onetwothreefour")
  ;; "one", "two", "three", "four", ""
  (data (i32.const 64)
    "\28\00\00\00\03\00\00\00\2b\00\00\00\03\00\00\00\2e\00\00\00\05\00\00\00"
    "\33\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00")
  ;; The out words, with rubbish in them.
  (data (i32.const 128) "\ff\ff\ff\ff\ff\ff\ff\ff")
  (func (export "run")
    (call $get_header (i32.const 128) (i32.const 132) (i32.const 0) (i32.const 16) (i32.const 15))
    (if (i32.or (i32.load (i32.const 128)) (i32.load (i32.const 132))) (then unreachable))
    (if (call $set_header (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 64) (i32.const 5))
      (then unreachable))))
