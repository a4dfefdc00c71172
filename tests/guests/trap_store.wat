;; Traps: a store one byte over the end.
(module
  (memory 1)
  (func (export "run") (i64.store (i32.const 65529) (i64.const 1))))
