-- Takes ('enter') or gives back ('leave') one of the places under KEYS[1].
-- A place is a lease: its score is when it ends. KEYS[2] numbers the leases.
-- ARGV: what, holder, limit, milliseconds of a lease, microseconds or ''; to leave, then nine of
-- the usage, the first empty and the last too if there is none, and sixteen of the statistics.
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
if ARGV[1] == 'enter' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
  if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
  local name = ARGV[2] .. '\0' .. redis.call('INCR', KEYS[2])
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[4]) * 1000), name)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return 1
end
if ARGV[14] ~= '' then add_usage(6, math.floor(now / 86400000000)) end
if ARGV[15] then add_statistics(15, math.floor(now / 1000)) end
local prefix = ARGV[2] .. '\0'
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.sub(name, 1, #prefix) == prefix then
    return redis.call('ZREM', KEYS[1], name)
  end
end
return 0
