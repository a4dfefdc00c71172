;; Looks whether it was here before, and leaves traces everywhere: memory (data, new pages), globals, a table, dropped
;; segments. Answers "fresh" or the letters of what it found changed.
(module
  (import "env" "hostcall_resp_set_body" (func $set_body (param i32 i32 i32) (result i32)))
  (memory 2 64)
  (table $t 4 16 funcref)
  (elem (table $t) (i32.const 0) func $one $one)
  (elem $passive func $two)
  (global $g (mut i64) (i64.const 41))
  (global $f (mut f64) (f64.const 1.5))
  (data (i32.const 4096) "before")
  (data $segment "drop me")
  (data (i32.const 64) "fresh")
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (global $letters (mut i32) (i32.const 128))
  (func $found (param $changed i32) (param $letter i32)
    (if (local.get $changed) (then
      (i32.store8 (global.get $letters) (local.get $letter))
      (global.set $letters (i32.add (global.get $letters) (i32.const 1))))))
  (func (export "run")
    (call $found (i32.ne (i32.load (i32.const 4096)) (i32.const 0x6f666562)) (i32.const 0x64)) ;; d: data
    (call $found (i32.load (i32.const 70000)) (i32.const 0x7a)) ;; z: a page that was zero
    (call $found (i32.ne (memory.size) (i32.const 2)) (i32.const 0x6d)) ;; m: the memory's size
    (call $found (i64.ne (global.get $g) (i64.const 41)) (i32.const 0x67)) ;; g, f: globals
    (call $found (f64.ne (global.get $f) (f64.const 1.5)) (i32.const 0x66))
    (call $found (i32.ne (call_indirect (result i32) (i32.const 1)) (i32.const 1)) (i32.const 0x74)) ;; t: an entry
    (call $found (i32.ne (table.size $t) (i32.const 4)) (i32.const 0x73)) ;; s: the table's size
    (call $found (i32.ne (global.get $letters) (i32.const 128)) (i32.const 0x21))
    ;; Both trap if the segment was dropped.
    (memory.init $segment (i32.const 256) (i32.const 0) (i32.const 7))
    (table.init $t $passive (i32.const 1) (i32.const 0) (i32.const 1))
    (data.drop $segment)
    (elem.drop $passive)
    (i32.store (i32.const 4096) (i32.const -1))
    (i32.store (i32.const 70000) (i32.const -1))
    (global.set $g (i64.const -1))
    (global.set $f (f64.const -1))
    (drop (table.grow $t (ref.func $two) (i32.const 3)))
    ;; A page that comes by growing must be zero, though the last request wrote to it.
    (if (i32.eq (memory.grow (i32.const 2)) (i32.const 2)) (then
      (call $found (i32.load (i32.const 131072)) (i32.const 0x6e)) ;; n: a new page
      (call $found (i32.load (i32.const 262140)) (i32.const 0x6e))
      (i32.store (i32.const 131072) (i32.const -1))
      (i32.store (i32.const 262140) (i32.const -1))))
    (if (i32.eq (global.get $letters) (i32.const 128))
      (then (drop (call $set_body (i32.const 0) (i32.const 64) (i32.const 5))))
      (else (drop (call $set_body (i32.const 0) (i32.const 128)
        (i32.sub (global.get $letters) (i32.const 128))))))))
