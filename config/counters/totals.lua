-- What several scripts write: running totals of usage, and those of versions. In front of each.
local function text(number) return string.format('%.0f', number) end

-- ARGV from `at`: the day or '', the key of the name of this generation, a new name, the set of
-- days, the prefix of a day's totals, whose usage, and three amounts.
local function add_usage(at, today)
  local day = ARGV[at] == '' and text(today) or ARGV[at]
  redis.call('SET', ARGV[at + 1], ARGV[at + 2], 'NX')
  redis.call('SADD', ARGV[at + 3], day)
  for i, unit in ipairs({'n', 'r', 'c'}) do
    redis.call('HINCRBY', ARGV[at + 4] .. day, unit .. ARGV[at + 5], ARGV[at + 5 + i])
  end
end

-- ARGV from `at`: the hash that counts each tenant's versions, the prefix of a tenant's totals, how
-- many versions there may be, the tenant, the version, ten amounts, and when it was called or 0.
-- Amounts are added as texts: a double holds no sum of nanoseconds that is old enough.
local function add_statistics(at, milliseconds)
  local tenants, tenant, name = ARGV[at], ARGV[at + 3], ARGV[at + 4]
  local key = ARGV[at + 1] .. tenant
  local last = tonumber(redis.call('HGET', key, 'l' .. name))
  if not last then
    local count = 0
    for _, versions in ipairs(redis.call('HVALS', tenants)) do
      count = count + tonumber(versions)
    end
    if count >= tonumber(ARGV[at + 2]) then return end
    redis.call('HINCRBY', tenants, tenant, 1)
  end
  for i, unit in ipairs({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'}) do
    local amount = ARGV[at + 4 + i]
    if amount ~= '0' then redis.call('HINCRBY', key, unit .. name, amount) end
  end
  local called = tonumber(ARGV[at + 15])
  if called == 0 then called = milliseconds end
  if not last or called > last then redis.call('HSET', key, 'l' .. name, text(called)) end
end

