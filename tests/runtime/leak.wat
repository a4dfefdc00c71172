;; Changes everything a guest can change, at random, and ends in a random way. The host compares the next request's state with
;; the snapshot, bit by bit.
(module
  (type $plain (func))
  (type $unary (func (param i32) (result i32)))
  (import "env" "hostcall_rng_next_u64" (func $random (result i64)))
  (import "env" "hostcall_resp_set_response_code" (func $status (param i32 i32) (result i32)))
  (memory 3 256)
  (global $a (mut i32) (i32.const 11))
  (global $b (mut i64) (i64.const 22))
  (global $c (mut f64) (f64.const 3.5))
  (global $v (mut v128) (v128.const i32x4 1 2 3 4))
  (global $d (mut funcref) (ref.func $twice))
  (global $e (mut externref) (ref.null extern))
  (table $functions 16 32 funcref)
  (table $others 4 16 externref)
  (table $fixed 4 4 funcref)
  (elem (table $functions) (i32.const 2) func $twice $store_here $grow $change_table)
  (elem (table $fixed) (i32.const 0) func $twice $store_here $grow $change_table)
  (elem $spare func $grow $twice $store_here)
  (data (i32.const 100) "the image of the memory, as the data segments leave it")
  (data (i32.const 70000) "and some of it in the second page")
  (data $passive "bytes that memory.init brings in")

  (func $pick (param $below i32) (result i32)
    (i32.wrap_i64 (i64.rem_u (call $random) (i64.extend_i32_u (local.get $below)))))
  (func $bytes (result i32) (i32.mul (memory.size) (i32.const 65536)))

  (func $twice (type $unary) (i32.mul (local.get 0) (i32.const 2)))
  (func $store_here (type $unary)
    (i64.store (i32.rem_u (local.get 0) (i32.sub (call $bytes) (i32.const 8))) (call $random))
    (local.get 0))
  (func $grow (type $unary) (memory.grow (i32.and (local.get 0) (i32.const 3))))
  (func $change_table (type $unary)
    (table.set $functions (i32.and (local.get 0) (i32.const 15)) (ref.func $store_here))
    (i32.const 0))

  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

  (func $step (local $what i32) (local $where i32)
    (local.set $what (call $pick (i32.const 16)))
    (local.set $where (call $pick (call $bytes)))
    (block $done
      (block $others
        (block $init (block $drop (block $fill (block $copy (block $globals (block $tables (block $growth (block $indirect
          (br_table $indirect $indirect $indirect $indirect $indirect $growth $tables $globals $copy $fill $drop $init
                    $others (local.get $what)))
          ;; $indirect: through the changeable and the fixed table
          (drop (call_indirect $fixed (type $unary) (local.get $where) (call $pick (i32.const 4))))
          (br_if $done (ref.is_null (table.get $functions (i32.const 2))))
          (drop (call_indirect $functions (type $unary) (local.get $where) (i32.const 2)))
          (br $done))
          ;; $growth
          (drop (memory.grow (call $pick (i32.const 3))))
          ;; now and then by more than is copied back page by page
          (if (i32.eqz (call $pick (i32.const 16)))
            (then
              (drop (memory.grow (i32.const 200)))
              (memory.fill (i32.const 0) (i32.const 0x77) (call $bytes))))
          (drop (table.grow $functions (ref.func $twice) (call $pick (i32.const 3))))
          (drop (table.grow $others (ref.null extern) (call $pick (i32.const 3))))
          (br $done))
          ;; $tables
          (table.set $functions (call $pick (i32.const 16)) (ref.null func))
          (table.copy $functions $functions (i32.const 5) (i32.const 0) (call $pick (i32.const 8)))
          (table.fill $functions (i32.const 9) (ref.func $grow) (call $pick (i32.const 7)))
          (br $done))
          ;; $globals
          (global.set $a (i32.wrap_i64 (call $random)))
          (global.set $b (call $random))
          (global.set $c (f64.convert_i64_s (call $random)))
          (global.set $d (ref.func $grow))
          (v128.store (call $pick (i32.sub (call $bytes) (i32.const 16))) (global.get $v))
          (global.set $v (i64x2.add (global.get $v) (i64x2.splat (call $random))))
          (br $done))
          ;; $copy
          (memory.copy (i32.const 0) (local.get $where)
            (call $pick (i32.sub (call $bytes) (local.get $where))))
          (br $done))
          ;; $fill
          (memory.fill (local.get $where) (i32.const 0xdd) (call $pick (i32.sub (call $bytes) (local.get $where))))
          (br $done))
          ;; $drop
          (data.drop $passive)
          (elem.drop $spare)
          (br $done))
          ;; $init; past the end after a drop, which is one more way to trap
        (memory.init $passive (i32.const 4096) (i32.const 0) (call $pick (i32.const 33)))
        (table.init $functions $spare (i32.const 1) (i32.const 0) (call $pick (i32.const 4)))
        (br $done))
      ;; $others: scattered writes
      (local.set $what (call $pick (i32.const 40)))
      (loop $again
        (i32.store8 (call $pick (call $bytes)) (i32.const 0xee))
        (br_if $again (local.tee $what (i32.sub (local.get $what) (i32.const 1)))))))

  (func (export "run") (local $steps i32) (local $how i32)
    (local.set $steps (i32.add (call $pick (i32.const 12)) (i32.const 1)))
    (loop $next
      (call $step)
      (br_if $next (local.tee $steps (i32.sub (local.get $steps) (i32.const 1)))))
    (local.set $how (call $pick (i32.const 64)))
    (drop (call $status (i32.const 0) (i32.const 201)))
    (if (i32.eq (local.get $how) (i32.const 1)) (then (unreachable)))
    (if (i32.eq (local.get $how) (i32.const 2)) (then (drop (i32.load (i32.const -4)))))
    (if (i32.eq (local.get $how) (i32.const 3)) (then (drop (call $recurse (i32.const 0)))))
    (if (i32.eq (local.get $how) (i32.const 4)) (then (loop $for_ever (br $for_ever))))
    (if (i32.eq (local.get $how) (i32.const 5)) (then (drop (i32.div_u (i32.const 1) (i32.const 0)))))
    (if (i32.eq (local.get $how) (i32.const 6))
      (then (drop (call_indirect $fixed (type $plain_wrong) (i32.const 3)))))
    )
  (type $plain_wrong (func (result i64))))
