;; Traps: a store far out.
(module
  (memory 1)
  (func (export "run") (i32.store offset=0xfffffff0 (i32.const -16) (i32.const 1))))
