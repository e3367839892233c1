;; `rethrow`.

(module
  (tag $none)
  (tag $byte (param i32))
  (func $throw (param i32) (if (local.get 0) (then (throw $byte (local.get 0)))) (throw $none))

  (func (export "from-catch") (try (do (throw $none)) (catch $none (rethrow 0))))
  (func (export "from-catch_all") (try (do (throw $none)) (catch_all (rethrow 0))))
  (func (export "with-values") (param i32) (result i32)
    (try (result i32)
      (do
        (try (result i32)
          (do (call $throw (local.get 0)) (i32.const -1))
          (catch $byte (drop) (rethrow 0))
          (catch_all (rethrow 0))))
      (catch $byte)
      (catch $none (i32.const -2))))

  ;; Labels count blocks of all kinds; only `catch` parts hold an exception.
  (func (export "labels") (param i32) (result i32)
    (try (result i32)
      (do
        (try (result i32)
          (do (throw $byte (i32.const 1)))
          (catch $byte (drop)
            (try (result i32)
              (do (throw $byte (i32.const 2)))
              (catch $byte (drop)
                (block (loop (if (local.get 0) (then (rethrow 4)))))
                (rethrow 0))))))
      (catch $byte)))

  ;; From the try part of an inner block, which catches it.
  (func (export "caught-inside") (result i32)
    (try (result i32)
      (do (throw $byte (i32.const 5)))
      (catch $byte (drop)
        (try (result i32)
          (do (rethrow 1))
          (catch $byte (i32.add (i32.const 10)))))))

  ;; The exception is kept while others come and go.
  (func (export "kept") (result i32)
    (local $n i32)
    (try (result i32)
      (do
        (try (result i32)
          (do (throw $byte (i32.const 42)))
          (catch_all
            (local.set $n (i32.const 1000))
            (loop $again
              (try (do (call $throw (local.get $n))) (catch_all))
              (local.set $n (i32.sub (local.get $n) (i32.const 1)))
              (br_if $again (local.get $n)))
            (rethrow 0))))
      (catch $byte))))

(assert_exception (invoke "from-catch"))
(assert_exception (invoke "from-catch_all"))
(assert_return (invoke "with-values" (i32.const 6)) (i32.const 6))
(assert_return (invoke "with-values" (i32.const 0)) (i32.const -2))
(assert_return (invoke "labels" (i32.const 1)) (i32.const 1))
(assert_return (invoke "labels" (i32.const 0)) (i32.const 2))
(assert_return (invoke "caught-inside") (i32.const 15))
(assert_return (invoke "kept") (i32.const 42))

(assert_invalid (module (func (rethrow 0))) "invalid rethrow label")
(assert_invalid (module (func (block (rethrow 0)))) "invalid rethrow label")
(assert_invalid (module (func (try (do (rethrow 0)) (catch_all)))) "invalid rethrow label")
(assert_invalid (module (func (try (do) (catch_all (rethrow 2))))) "unknown label")
