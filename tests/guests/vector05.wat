;; X-Twice is set twice, in two spellings: the second counts. Set-Cookie has two values: two lines. X-Gone is set and
;; removed.
(module
  (import "env" "hostcall_resp_set_header" (func $set_header (param i32 i32 i32 i32 i32) (result i32)))
  (memory 1)
  (data (i32.const 0) "X-Twicex-twice")
  (data (i32.const 16) "firstsecond")
  (data (i32.const 32) "Set-Cookie")
  (data (i32.const 48) "a=1; Path=/b=2, c=3")
  (data (i32.const 80) "X-Gone")
  (data (i32.const 96) "\10\00\00\00\05\00\00\00")
  (data (i32.const 104) "\15\00\00\00\06\00\00\00")
  (data (i32.const 112) "\30\00\00\00\0b\00\00\00\3b\00\00\00\08\00\00\00")
  (func (export "run")
    (drop (call $set_header (i32.const 0) (i32.const 0) (i32.const 7) (i32.const 96) (i32.const 1)))
    (drop (call $set_header (i32.const 0) (i32.const 80) (i32.const 6) (i32.const 96) (i32.const 1)))
    (drop (call $set_header (i32.const 0) (i32.const 32) (i32.const 10) (i32.const 112) (i32.const 2)))
    (drop (call $set_header (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 104) (i32.const 1)))
    (drop (call $set_header (i32.const 0) (i32.const 80) (i32.const 6) (i32.const 0) (i32.const 0)))))
