;; What published guests do in every request: grow by two pages, one after the other, and write there.
(module
  (memory 20)
  (func (export "run")
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const 20)) (then (unreachable)))
    (if (i32.ne (memory.grow (i32.const 1)) (i32.const 21)) (then (unreachable)))
    (i32.store (i32.const 1310720) (i32.const 1))
    (i32.store (i32.const 1376256) (i32.const 1))))
