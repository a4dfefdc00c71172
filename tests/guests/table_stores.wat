;; Sums over a table, in a loop whose stores come near the table, touch it or run over it in some turn, wherever that
;; may be: what an artifact keeps copies of must be what memory holds. The same loop with a call in it, of which no
;; copies are made, tells what is right.
(module
  (import "env" "hostcall_resp_set_body" (func $body (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "apart")
  (func $nothing)
  ;; Words that all differ, around the table of 256 bytes at 2048.
  (func $fill (local $at i32) (local $word i32)
    (local.set $at (i32.const 1024))
    (local.set $word (i32.const 12345))
    (loop $more
      (local.set $word (i32.add (i32.mul (local.get $word) (i32.const 1103515245)) (i32.const 12345)))
      (i32.store (local.get $at) (local.get $word))
      (br_if $more (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 3584)))))
  (func $sum (result i64) (local $at i32) (local $sum i64)
    (local.set $at (i32.const 1024))
    (loop $more
      (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31)) (i64.load (local.get $at))))
      (br_if $more (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 3584))))
    (local.get $sum))
  ;; Eight rows of eight sums each, at $to; the next row's are $move further on.
  (func $rows (param $to i32) (param $move i32) (local $k i32) (local $y i32) (local $a i32)
    (loop $outer
      (local.set $a (i32.load offset=1024 (i32.shl (local.get $y) (i32.const 2))))
      (local.set $k (i32.const 0))
      (loop $inner
        (i32.store offset=4 (local.get $to)
          (i32.add (i32.add (i32.mul (local.get $a) (i32.load (i32.add (local.get $k) (i32.const 2048))))
                            (i32.load (i32.add (local.get $k) (i32.const 2076))))
                   (i32.mul (local.get $y) (i32.load offset=2052 (local.get $k)))))
        (local.set $to (i32.add (local.get $to) (i32.const 4)))
        (br_if $inner (i32.ne (local.tee $k (i32.add (local.get $k) (i32.const 32))) (i32.const 256))))
      (local.set $to (i32.sub (i32.add (local.get $to) (local.get $move)) (i32.const 32)))
      (br_if $outer (i32.ne (local.tee $y (i32.add (local.get $y) (i32.const 1))) (i32.const 8)))))
  (func $rows_plainly (param $to i32) (param $move i32) (local $k i32) (local $y i32) (local $a i32)
    (loop $outer
      (local.set $a (i32.load offset=1024 (i32.shl (local.get $y) (i32.const 2))))
      (local.set $k (i32.const 0))
      (loop $inner
        (call $nothing)
        (i32.store offset=4 (local.get $to)
          (i32.add (i32.add (i32.mul (local.get $a) (i32.load (i32.add (local.get $k) (i32.const 2048))))
                            (i32.load (i32.add (local.get $k) (i32.const 2076))))
                   (i32.mul (local.get $y) (i32.load offset=2052 (local.get $k)))))
        (local.set $to (i32.add (local.get $to) (i32.const 4)))
        (br_if $inner (i32.ne (local.tee $k (i32.add (local.get $k) (i32.const 32))) (i32.const 256))))
      (local.set $to (i32.sub (i32.add (local.get $to) (local.get $move)) (i32.const 32)))
      (br_if $outer (i32.ne (local.tee $y (i32.add (local.get $y) (i32.const 1))) (i32.const 8)))))
  ;; From wholly before the table to wholly behind it, byte by byte.
  (func $sweep (param $move i32) (local $to i32) (local $sum i64)
    (local.set $to (i32.const 1700))
    (loop $more
      (call $fill)
      (call $rows (local.get $to) (local.get $move))
      (local.set $sum (call $sum))
      (call $fill)
      (call $rows_plainly (local.get $to) (local.get $move))
      (if (i64.ne (local.get $sum) (call $sum)) (then (unreachable)))
      (br_if $more (i32.ne (local.tee $to (i32.add (local.get $to) (i32.const 1))) (i32.const 2400)))))
  (func (export "run")
    (call $sweep (i32.const 0))
    (call $sweep (i32.const 32))
    (call $sweep (i32.const 5))
    (call $sweep (i32.const -32))
    (call $sweep (i32.const 100))
    (drop (call $body (i32.const 0) (i32.const 0) (i32.const 5)))))
