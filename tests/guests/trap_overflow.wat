;; Traps: the quotient does not fit.
(module
  (memory 1)
  (data (i32.const 0) "\00\00\00\80")
  (func (export "run") (i32.store (i32.const 4) (i32.div_s (i32.load (i32.const 0)) (i32.const -1)))))
