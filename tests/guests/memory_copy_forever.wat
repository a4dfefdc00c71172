;; Spends nearly all its time, without end, inside memory.copy and memory.fill.
(module
  (memory 256)
  (func (export "run")
    (loop $again
      (memory.copy (i32.const 1) (i32.const 0) (i32.const 16777215))
      (memory.fill (i32.const 0) (i32.const 7) (i32.const 16777216))
      (br $again))))
