(module
  (type $pair (func (result i32 i64)))
  (type $loop (func (param i32) (result i32)))
  (table 2 funcref)
  (elem (i32.const 0) func $fac $run)
  (func $fac (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 1))
      (else (i32.mul (local.get 0) (call $fac (i32.sub (local.get 0) (i32.const 1)))))))
  (func $two (result i32 i64) (block (type $pair) (br 0 (i32.const 1) (i64.const 2))))
  (func $run (export "run")
    (local i32 i64 f32 f64)
    (block $out
      i32.const 3
      loop $again (type $loop)
        i32.const 1
        i32.add
      end
      drop
      (block $a (block $b (block $c (br_table $a $b $c $out (local.get 0))) (nop)) (br $out))
      (br_if $out (i32.const 1))
      (loop $l (br_if $l (i32.const 0)) (block (br $out)) (unreachable)))
    (call $two) (drop) (drop)
    (drop (call_indirect (type $loop) (i32.const 5) (i32.const 0)))
    (return)))
