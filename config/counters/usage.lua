-- Reads every running total in one moment, with the name of this generation.
-- KEYS: the name, the set of days. ARGV: a new name, the prefix of a day's totals.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local days = {}
for i, day in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  days[i] = {day, redis.call('HGETALL', ARGV[2] .. day)}
end
return {redis.call('GET', KEYS[1]), days}
