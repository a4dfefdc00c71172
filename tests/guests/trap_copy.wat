;; Traps: memory.copy that leaves the memory.
(module
  (memory 1)
  (func (export "run") (memory.copy (i32.const 1) (i32.const 0) (i32.const 65536))))
