;; Traps: a load whose offset and address are as large as can be.
(module
  (memory 1)
  (func (export "run") (i64.store (i32.const 0) (i64.load offset=0xffffffff (i32.const -1)))))
