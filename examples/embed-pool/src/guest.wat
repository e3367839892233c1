;; Greets the user of the request: "hello, NAME". Loops without end if the user has no name.
(module
  (import "host" "user" (func $user (param $at i32) (param $room i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)

  ;; Three iovecs, address and length: the greeting, the name, the end of the line.
  (data (i32.const 0) "\40\00\00\00\07\00\00\00\80\00\00\00\00\00\00\00\47\00\00\00\01\00\00\00")
  (data (i32.const 64) "hello, \n")

  (func (export "handle")
    (i32.store (i32.const 12) (call $user (i32.const 128) (i32.const 64)))
    (loop $wait (br_if $wait (i32.eqz (i32.load (i32.const 12)))))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 3) (i32.const 32)))))
