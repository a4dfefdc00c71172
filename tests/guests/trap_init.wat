;; Traps: memory.init of a dropped segment.
(module
  (memory 1)
  (data $d "x")
  (func (export "run")
    (data.drop $d)
    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1))))
