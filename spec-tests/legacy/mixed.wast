;; Legacy exceptions and `try_table` in one module, and in one function.

(module
  (tag $none)
  (tag $byte (param i32))
  (func $throw (param i32) (throw $byte (local.get 0)))

  ;; Thrown again by reference, caught in the legacy way.
  (func (export "throw_ref") (param i32) (result i32)
    (try (result i32)
      (do
        (block $h (result exnref)
          (try_table (catch_all_ref $h) (call $throw (local.get 0)))
          (unreachable))
        (throw_ref))
      (catch $byte)))

  ;; The other way round, past a `try` without a part for it.
  (func (export "rethrow") (param i32) (result i32)
    (block $h (result i32)
      (try_table (catch $byte $h)
        (try
          (do (try (do (call $throw (local.get 0))) (catch $none)))
          (catch $byte (drop) (rethrow 0))))
      (i32.const -1)))

  ;; The reference of an exception that a `catch` part has.
  (func (export "identity") (param i32) (result i32)
    (local $e exnref)
    (block $h (result i32 exnref)
      (try_table (catch_ref $byte $h)
        (try (do (call $throw (local.get 0))) (catch_all (rethrow 0))))
      (unreachable))
    (local.set $e)
    (drop)
    (try (result i32) (do (throw_ref (local.get $e))) (catch $byte)))

  ;; `delegate` to a `try_table`, and past one.
  (func (export "delegate-to") (result i32)
    (block $h (result i32)
      (try_table $t (catch $byte $h)
        (try (do (try (do (call $throw (i32.const 3))) (delegate $t))) (catch_all)))
      (i32.const -1)))
  (func (export "delegate-past") (result i32)
    (try $t (result i32)
      (do
        (block $h
          (try_table (catch_all $h)
            (try (do (call $throw (i32.const 4))) (delegate $t))))
        (i32.const -1))
      (catch $byte))))

(assert_return (invoke "throw_ref" (i32.const 7)) (i32.const 7))
(assert_return (invoke "rethrow" (i32.const 8)) (i32.const 8))
(assert_return (invoke "identity" (i32.const 9)) (i32.const 9))
(assert_return (invoke "delegate-to") (i32.const 3))
(assert_return (invoke "delegate-past") (i32.const 4))
