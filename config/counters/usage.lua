-- Reads every running total in one moment, or those named, with the name of this generation.
-- KEYS: the name, the set of days. ARGV: a new name, the prefix of a day's totals, 'all' or 'named',
-- then a day and a name for each of those.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local days = {}
if ARGV[3] == 'all' then
  for i, day in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    days[i] = {day, redis.call('HGETALL', ARGV[2] .. day)}
  end
else
  for i = 4, #ARGV, 2 do
    local fields = {'n' .. ARGV[i + 1], 'r' .. ARGV[i + 1], 'c' .. ARGV[i + 1]}
    local amounts = redis.call('HMGET', ARGV[2] .. ARGV[i], unpack(fields))
    if amounts[1] then
      local flat = {fields[1], amounts[1], fields[2], amounts[2], fields[3], amounts[3]}
      days[#days + 1] = {ARGV[i], flat}
    end
  end
end
return {redis.call('GET', KEYS[1]), days}
