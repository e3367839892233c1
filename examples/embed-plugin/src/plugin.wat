;; Marks the longest line of a text. The host passes each line's number and length to $visit.
(module
  (import "editor" "each_line" (func $each_line (param funcref)))
  (import "editor" "mark" (func $mark (param $line i32)))
  (global $line (mut i32) (i32.const 0))
  (global $longest (mut i32) (i32.const -1))
  (elem declare func $visit)

  (func $visit (param $line i32) (param $length i32)
    (if (i32.gt_s (local.get $length) (global.get $longest))
      (then
        (global.set $line (local.get $line))
        (global.set $longest (local.get $length)))))

  (func (export "run")
    (call $each_line (ref.func $visit))
    (call $mark (global.get $line))))
