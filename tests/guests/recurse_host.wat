;; Calls itself by way of the host: its allocator asks the host for something that needs the allocator.
(module
  (import "env" "hostcall_init_mm" (func $init_mm (param i32 i32)))
  (import "env" "hostcall_req_get_method" (func $get_method (param i32 i32 i32)))
  (memory 1)
  (table 2 funcref)
  (elem (i32.const 0) $malloc $free)
  (func $malloc (param i32) (result i32)
    (call $get_method (i32.const 0) (i32.const 4) (i32.const 0))
    (i32.const 64))
  (func $free (param i32))
  (func (export "run")
    (call $init_mm (i32.const 0) (i32.const 1))
    (call $get_method (i32.const 0) (i32.const 4) (i32.const 0))))
