-- Charges, peeks at, records or refunds counters as one atomic step.
-- KEYS: one counter per charge. ARGV: mode, microseconds or '', how long a day's counter is kept,
-- then four per charge: amount, limit, bucket width (0: by calendar), seed ('?' if unknown), then
-- nine of the usage if any. To settle a call that took no place, then sixteen of the statistics, the
-- key of the places, and how many there are.
-- The windows are those of config/counters/windows.py; every number is a whole one below 2^53.
local BUCKETS, DAY = 128, 86400000000
local mode = ARGV[1]
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local today = math.floor(now / DAY)
local u = 4 * #KEYS + 4
local settling = mode == 'settle'
if settling then
  redis.call('ZREMRANGEBYSCORE', ARGV[u + 25], '-inf', string.format('%.0f', now))
  if redis.call('ZCARD', ARGV[u + 25]) >= tonumber(ARGV[u + 26]) then return {'full'} end
  mode = 'charge'
end

local function kept(wide) return math.ceil(wide * (BUCKETS + 1) / 1000) + 1000 end

local function amounts(key, first, last)
  if last < first then return {} end
  local names = {}
  for bucket = first, last do names[#names + 1] = text(bucket) end
  return redis.call('HMGET', key, unpack(names))
end

-- The server's clock was set back by more than a window: count on from where it is now, and write
-- that even if the call is refused, or nobody would be admitted until the old time is reached.
local function move(key, state, wide, bucket)
  local shift = bucket - state.newest
  local held = amounts(key, state.oldest, state.newest)
  redis.call('DEL', key)
  state.oldest, state.newest = state.oldest + shift, bucket
  redis.call('HSET', key, 'total', text(state.total), 'oldest', text(state.oldest),
    'newest', text(bucket))
  for i, amount in ipairs(held) do
    if amount then redis.call('HSET', key, text(state.oldest + i - 1), amount) end
  end
  redis.call('PEXPIRE', key, kept(wide))
end

local function sliding(key, wide)
  local bucket = math.floor(now / wide)
  local head = redis.call('HMGET', key, 'total', 'oldest', 'newest')
  if not head[1] then
    return {total = 0, oldest = bucket, newest = bucket, bucket = bucket, gone = {}, pending = 0}
  end
  local state = {total = tonumber(head[1]), oldest = tonumber(head[2]), gone = {}, pending = 0}
  state.newest = tonumber(head[3])
  if bucket < state.newest then
    if state.newest - bucket >= BUCKETS then
      move(key, state, wide, bucket)
    end
    bucket = state.newest
  end
  local last = math.min(bucket - BUCKETS, state.newest)
  for i, amount in ipairs(amounts(key, state.oldest, last)) do
    if amount then
      state.total = state.total - tonumber(amount)
      state.gone[#state.gone + 1] = text(state.oldest + i - 1)
    end
  end
  state.oldest = math.max(state.oldest, last + 1)
  state.bucket = bucket
  return state
end

local function freed_at(key, state, amount)
  for i, held in ipairs(amounts(key, state.oldest, state.newest)) do
    amount = amount - (tonumber(held) or 0)
    if amount <= 0 then return state.oldest + i - 1 + BUCKETS end
  end
  return state.bucket + BUCKETS
end

local function write(key, state, wide)
  if #state.gone > 0 then redis.call('HDEL', key, unpack(state.gone)) end
  redis.call('HINCRBY', key, text(state.bucket), text(state.pending))
  redis.call('HSET', key, 'total', text(state.total + state.pending),
    'oldest', text(state.oldest), 'newest', text(state.bucket))
  redis.call('PEXPIRE', key, kept(wide))
end

local function give_back(key, state, wide, amount)
  local bucket = math.min(math.floor(now / wide), state.newest)
  local held = amounts(key, state.oldest, bucket)
  for i = #held, 1, -1 do
    local taken = math.min(tonumber(held[i]) or 0, amount)
    if taken > 0 then
      redis.call('HINCRBY', key, text(state.oldest + i - 1), text(-taken))
      redis.call('HINCRBY', key, 'total', text(-taken))
      amount = amount - taken
    end
  end
end

local states, answers, allowed = {}, {}, true
for i, base in ipairs(KEYS) do
  local at = 4 * i
  local amount, limit = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local wide, seed = tonumber(ARGV[at + 2]), ARGV[at + 3]
  local key = wide > 0 and base or base .. text(today)
  local state = states[key]
  if not state then
    if wide > 0 then
      state = sliding(key, wide)
    else
      local used = redis.call('GET', key)
      if not used and seed == '?' and mode ~= 'refund' then
        return {'seed', text(i), text(today)}
      end
      state = {total = tonumber(used or seed) or 0, pending = 0}
    end
    states[key] = state
    state.wide, state.amount, state.key = wide, 0, key
  end
  state.amount = state.amount + amount
  local total = state.total + state.pending
  local over = total + amount - limit
  local left, reset, wait = limit - total, 0, 0
  if amount > 0 and over > 0 then
    allowed = false
    if amount > limit then wait = -1
    elseif wide == 0 then wait = DAY - now % DAY
    else wait = freed_at(key, state, over) * wide - now + 1 end
  elseif mode == 'charge' then
    left = -over
  end
  if mode == 'charge' or mode == 'record' then state.pending = state.pending + amount end
  if wide == 0 then reset = DAY - now % DAY
  elseif total > 0 or state.pending > 0 then reset = freed_at(key, state, 1) * wide - now end
  answers[i] = {math.max(0, left), text(reset), text(wait), amount}
end

for _, answer in ipairs(answers) do
  if mode == 'charge' and not allowed and answer[3] == '0' then
    answer[1] = answer[1] + answer[4] -- it could have been made, but was not
  end
  answer[1], answer[4] = text(answer[1]), nil
end

for key, state in pairs(states) do
  if mode == 'refund' then
    if state.wide > 0 then
      give_back(key, state, state.wide, state.amount)
    elseif redis.call('EXISTS', key) == 1 then
      redis.call('DECRBY', key, text(math.min(state.total, state.amount)))
    end
  elseif state.pending > 0 and (mode == 'record' or (mode == 'charge' and allowed)) then
    if state.wide > 0 then
      write(key, state, state.wide)
    else
      redis.call('SET', key, text(state.total + state.pending), 'PX', ARGV[3])
    end
  end
end

if ARGV[u] and mode == 'charge' and allowed then add_usage(u, today) end
if settling and allowed then add_statistics(u + 9, math.floor(now / 1000)) end
return {'done', text(now), answers}
