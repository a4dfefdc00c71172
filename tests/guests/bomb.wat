;; Takes all the memory it can get, and writes to every page of it.
(module
  (import "env" "hostcall_resp_set_body" (func $set_body (param i32 i32 i32) (result i32)))
  (memory 1)
  (data (i32.const 0) "all of it")
  (func (export "run")
    (local $at i32) (local $end i32)
    (loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (local.set $at (i32.const 4096))
    (loop $page
      (i32.store (local.get $at) (i32.const 0x5a5a5a5a))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $page (i32.lt_u (local.get $at) (local.get $end))))
    (drop (call $set_body (i32.const 0) (i32.const 0) (i32.const 9)))))
