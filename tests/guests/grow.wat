;; Grows a page at a time until that is refused, and answers with the number of pages, in decimal. Touches none.
(module
  (import "env" "hostcall_resp_set_body" (func $set_body (param i32 i32 i32) (result i32)))
  (memory 1)
  (func (export "run")
    (local $at i32) (local $rest i32)
    (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (local.set $at (i32.const 32))
    (local.set $rest (memory.size))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.rem_u (local.get $rest) (i32.const 10)) (i32.const 48)))
      (br_if $digit (local.tee $rest (i32.div_u (local.get $rest) (i32.const 10)))))
    (drop (call $set_body (i32.const 0) (local.get $at) (i32.sub (i32.const 32) (local.get $at))))))
