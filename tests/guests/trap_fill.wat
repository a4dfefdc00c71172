;; Traps: memory.fill whose end wraps.
(module
  (memory 1)
  (func (export "run") (memory.fill (i32.const 16) (i32.const 1) (i32.const -1))))
