;; Rounds in code that a C compiler takes for cold, where gcc would call the C library: a module must not need one.
(module
  (import "env" "hostcall_resp_set_body" (func $body (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "rounded")
  (func $f32 (param $x f32) (result f32)
    (f32.add (f32.add (f32.ceil (local.get $x)) (f32.floor (local.get $x)))
             (f32.add (f32.trunc (local.get $x)) (f32.nearest (local.get $x)))))
  (func $f64 (param $x f64) (result f64)
    (f64.add (f64.add (f64.ceil (local.get $x)) (f64.floor (local.get $x)))
             (f64.add (f64.trunc (local.get $x)) (f64.nearest (local.get $x)))))
  ;; 3 + 2 + 2 + 2; each path ends in a trap, which is what makes it cold
  (func (export "run")
    (if (i32.eqz (i32.load8_u (i32.const 0)))
      (then
        (f32.store (i32.const 16) (call $f32 (f32.load (i32.const 32))))
        (f64.store (i32.const 24) (call $f64 (f64.load (i32.const 40))))
        (unreachable)))
    (f32.store (i32.const 32) (f32.const 2.5))
    (f64.store (i32.const 40) (f64.const 2.5))
    (if (i32.or (f32.ne (call $f32 (f32.load (i32.const 32))) (f32.const 9))
                (f64.ne (call $f64 (f64.load (i32.const 40))) (f64.const 9)))
      (then (unreachable)))
    (drop (call $body (i32.const 0) (i32.const 0) (i32.const 7)))))
