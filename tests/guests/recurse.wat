;; Calls itself until the stack is over.
(module
  (func $down (param i64) (result i64)
    (i64.rotl (call $down (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
  (func (export "run") (drop (call $down (i64.const 0)))))
