;; A WASI command by hand: the answer is what it writes to standard output.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param $fd i32) (param $iovs i32) (param $count i32) (param $written i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  (memory (export "memory") 1)

  ;; 0: one iovec { address 16, length 36 };  8: number of bytes written;  16: the text
  (data (i32.const 0) "\10\00\00\00\24\00\00\00")
  (data (i32.const 16) "hello, world from Awesome FaaS App!\0a")

  (func (export "_start")
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 1))))))
