;; Traps: table.get beyond the table.
(module
  (table 1 externref)
  (func (export "run") (drop (table.get (i32.const 1)))))
