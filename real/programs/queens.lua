-- All ways to place six queens, by coroutines, closures, string patterns and protected calls.
local function solutions(size)
  return coroutine.wrap(function()
    local rows = {}
    local function place(column)
      if column > size then return coroutine.yield(table.concat(rows, " ")) end
      for row = 1, size do
        local free = true
        for other = 1, column - 1 do
          local distance = rows[other] - row
          free = free and distance ~= 0 and math.abs(distance) ~= column - other
        end
        if free then
          rows[column] = row
          place(column + 1)
          rows[column] = nil
        end
      end
    end
    place(1)
  end)
end
for solution in solutions(6) do print((solution:gsub("%d", function(d) return d + 10 end))) end
print(type(select(2, pcall(error, { code = 7 }))))
print(select(2, pcall(function() local missing; return missing.field end)))
print(string.format("%.3f %5d %q", 1 / 3, 42, "a\nb"), 7 // 2, 7.0 // 2, 1 << 40, math.maxinteger + 1 == math.mininteger)
local file = assert(io.open("/work/list.json"))
print(#file:read("a")); file:close()
error("the end", 0)
