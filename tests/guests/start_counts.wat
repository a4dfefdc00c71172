;; The start function's work is there in every request, once.
(module
  (import "env" "hostcall_resp_set_body" (func $set_body (param i32 i32 i32) (result i32)))
  (memory 1)
  (global $count (mut i32) (i32.const 0))
  (func $begin
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 49))))
  (start $begin)
  (func (export "run")
    (i32.store8 (i32.const 1) (i32.add (global.get $count) (i32.const 48)))
    (drop (call $set_body (i32.const 0) (i32.const 0) (i32.const 2)))))
