;; Traps: division by zero.
(module
  (memory 1)
  (func (export "run") (i32.store (i32.const 0) (i32.div_u (i32.const 1) (i32.load (i32.const 0))))))
