-- Adds to ('add'), reads ('read') or forgets ('drop') the totals of versions.
-- KEYS: the hash that counts each tenant's versions. ARGV: what; to add, the totals; otherwise the
-- prefix of a tenant's totals, a tenant or '' for all, and with what the names of versions begin.
if ARGV[1] == 'add' then
  local time = redis.call('TIME')
  add_statistics(2, math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000))
  return 1
end
local tenants, prefix = {ARGV[3]}, ARGV[4]
if ARGV[3] == '' then tenants = redis.call('HKEYS', KEYS[1]) end

local function matching(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 2, #prefix + 1) == prefix then
      found[#found + 1], found[#found + 2] = flat[i], flat[i + 1]
    end
  end
  return found
end

local answers = {}
for _, tenant in ipairs(tenants) do
  local key = ARGV[2] .. tenant
  local found = matching(key)
  answers[#answers + 1] = {tenant, found}
  if ARGV[1] == 'drop' then
    for i = 1, #found, 2 do
      redis.call('HDEL', key, found[i])
      if string.sub(found[i], 1, 1) == 'l' then redis.call('HINCRBY', KEYS[1], tenant, -1) end
    end
    if tonumber(redis.call('HGET', KEYS[1], tenant) or 0) <= 0 then
      redis.call('HDEL', KEYS[1], tenant)
    end
  end
end
return answers
