;; Announces indices of a table that it does not have.
(module
  (import "env" "hostcall_init_mm" (func $init_mm (param i32 i32)))
  (import "env" "hostcall_req_get_method" (func $get_method (param i32 i32 i32)))
  (memory 1)
  (func (export "run")
    (call $init_mm (i32.const 0) (i32.const 1))
    (call $get_method (i32.const 0) (i32.const 4) (i32.const 0))))
