;; Traps: remainder by zero.
(module
  (memory 1)
  (func (export "run") (i64.store (i32.const 0) (i64.rem_s (i64.const 1) (i64.load (i32.const 0))))))
