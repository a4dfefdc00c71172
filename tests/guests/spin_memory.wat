;; Never ends, and touches memory all the while.
(module
  (memory 16)
  (func (export "run")
    (local $at i32)
    (loop $again
      (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
      (local.set $at (i32.and (i32.add (local.get $at) (i32.const 4100)) (i32.const 0xffffc)))
      (br $again))))
