;; Traps: a call through an empty entry.
(module
  (table 2 funcref)
  (func (export "run") (call_indirect (i32.const 1))))
