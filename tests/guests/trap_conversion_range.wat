;; Traps: a float beyond the integers.
(module
  (memory 1)
  (data (i32.const 0) "\00\00\80\5f")
  (func (export "run") (i64.store (i32.const 8) (i64.trunc_f32_s (f32.load (i32.const 0))))))
