;; Traps: not a number is no integer.
(module
  (memory 1)
  (data (i32.const 0) "\00\00\c0\7f")
  (func (export "run") (i32.store (i32.const 4) (i32.trunc_f32_s (f32.load (i32.const 0))))))
