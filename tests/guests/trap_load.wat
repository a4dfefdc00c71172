;; Traps: a load one byte over the end.
(module
  (memory 1)
  (func (export "run") (i32.store (i32.const 0) (i32.load (i32.const 65533)))))
