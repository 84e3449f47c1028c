-- Budgets of tenants: one atomic step for all records of a tenant and of those above it. Written for `records.py`.
--
-- KEYS  the hold, then one record for each budget: the tenant's own first
-- ARGV  operation, then what it needs (below). Amounts are whole nano-USD, times Unix seconds.
--
-- A record is a hash of one (tenant, kind of window); it rolls into the next window by itself:
--   start   of the window that it counts         spent   settled and held        held    the part of it that is held
--   epoch   which life of the record this is     seq     moves with each change
--   base    spent before this life, as the routers told it
--   kind    new | set (by an operator) | resumed or lost (it came back older than a router had seen it)
-- A hold is "amount start epoch start epoch ..." or "x" for one that was ended.

local MOST = 9007199254740991
local clock = redis.call('TIME')
local now = tonumber(clock[1])
local op = ARGV[1]

local function text(number) return string.format('%.0f', number) end

local function read(key)
  local raw = redis.pcall('HMGET', key, 'start', 'spent', 'held', 'epoch', 'seq', 'base', 'kind')
  if raw.err then return nil end
  if not raw[4] then
    if redis.call('EXISTS', key) == 1 then return nil end
    return {missing = true, start = 0, spent = 0, held = 0, epoch = '', seq = 0, base = 0, kind = 'new'}
  end
  local r = {start = tonumber(raw[1]), spent = tonumber(raw[2]), held = tonumber(raw[3]), epoch = raw[4],
             seq = tonumber(raw[5]), base = tonumber(raw[6]), kind = raw[7]}
  if not (r.start and r.spent and r.held and r.seq and r.base and r.kind) then return nil end
  return r
end

local function write(key, r, ends)
  redis.call('HSET', key, 'start', text(r.start), 'spent', text(r.spent), 'held', text(r.held), 'epoch', r.epoch,
             'seq', text(r.seq), 'base', text(r.base), 'kind', r.kind)
  -- A week after its window nobody asks for it any more.
  if ends > 0 then redis.call('EXPIREAT', key, text(math.max(ends, now) + 604800)) else redis.call('PERSIST', key) end
end

local function told(r) return {r.start, r.spent, r.held, r.epoch, r.seq, r.kind} end

-- settle ACTUAL KEEP: gives back what was not needed, once. KEEP > 0: an unknown hold can't be taken for so many seconds, since
-- its reservation may still be on its way.
if op == 'settle' then
  local held = redis.pcall('GET', KEYS[1])
  local keep = tonumber(ARGV[3])
  if type(held) ~= 'string' or held == 'x' then
    if keep > 0 and held == false then redis.call('SET', KEYS[1], 'x', 'EX', keep) end
    return {'none', now}
  end
  local words = {}
  for word in string.gmatch(held, '%S+') do words[#words + 1] = word end
  local amount = tonumber(words[1])
  local back = amount - math.min(amount, tonumber(ARGV[2]))
  local reply = {'ok', now, amount}
  for i = 2, #KEYS do
    local r = read(KEYS[i])
    if r and not r.missing and text(r.start) == words[2 * i - 2] and r.epoch == words[2 * i - 1] then
      r.spent, r.held, r.seq = r.spent - back, math.max(0, r.held - amount), r.seq + 1
      redis.call('HSET', KEYS[i], 'spent', text(r.spent), 'held', text(r.held), 'seq', text(r.seq))
    end
    reply[#reply + 1] = r and told(r) or false
  end
  if keep > 0 then redis.call('SET', KEYS[1], 'x', 'EX', keep) else redis.call('DEL', KEYS[1]) end
  return reply
end

-- probe: whether anything can be written here.
if op == 'probe' then
  redis.call('SET', KEYS[1], 'x', 'EX', 60)
  return {'ok', now}
end

-- set NONCE SPENT START END: an operator says how one record stands.
if op == 'set' then
  local r = {start = tonumber(ARGV[4]), spent = tonumber(ARGV[3]), held = 0, seq = 1, base = 0, kind = 'set',
             epoch = string.format('%013d', now * 1000 + math.floor(clock[2] / 1000)) .. '-' .. ARGV[2]}
  local ends, old = tonumber(ARGV[5]), read(KEYS[2])
  if old and old.epoch >= r.epoch then  -- the clock went back: still a later life
    r.epoch = string.format('%013d', tonumber(string.sub(old.epoch, 1, 13)) + 1) .. '-' .. ARGV[2]
  end
  if ends > 0 and (now < r.start or now >= ends) then return {'clock', now, now} end
  redis.call('DEL', KEYS[2])
  write(KEYS[2], r, ends)
  return {'ok', now, 0, told(r)}
end

-- reserve | book | look  NONCE WHEN_LOST TTL LEVELS {START END LIMIT KNOWN_START KNOWN_EPOCH KNOWN_SEQ KNOWN_SPENT} AMOUNT...
-- LIMIT -1: soft. KNOWN_*: as this router saw the record last; KNOWN_START -1: never.
-- reserve takes the first amount that every hard budget allows; book charges the first whatever they say; look charges nothing.
local count = tonumber(ARGV[5])
local first_amount = 6 + 7 * count
local levels, times, behind = {}, {'clock', now}, false
for i = 1, count do
  local at = 5 + 7 * (i - 1)
  local level = {key = KEYS[i + 1], start = tonumber(ARGV[at + 1]), ends = tonumber(ARGV[at + 2]),
                 limit = tonumber(ARGV[at + 3]), known_start = tonumber(ARGV[at + 4]), known_epoch = ARGV[at + 5],
                 known_seq = tonumber(ARGV[at + 6]), known_spent = tonumber(ARGV[at + 7]), record = read(KEYS[i + 1])}
  -- A record never goes back to a window that it has left, whatever the clock says.
  local time = level.record and math.max(now, level.record.start) or now
  times[#times + 1] = time
  if level.ends > 0 and (time < level.start or time >= level.ends) then behind = true end
  if level.ends == 0 and level.record and level.record.start > 0 then level.record = nil end
  levels[i] = level
end
if behind then return times end

-- Whether a router has seen more than the record tells. What is known is put into it either way.
local function is_lost(level)
  local r, known = level.record, level.known_spent
  if level.known_start ~= level.start then return false end
  if r.missing or r.start < level.start then
    r.start, r.spent, r.base, r.held = level.start, known, known, 0
    return true
  end
  if r.epoch == level.known_epoch then
    if r.seq >= level.known_seq then return false end
    r.spent, r.base = math.max(r.spent, known), known
    return true
  end
  local later = r.epoch > level.known_epoch
  if later and r.kind == 'set' then return false end
  if known > r.base then
    r.spent, r.base, level.changed = math.min(MOST, r.spent + known - r.base), known, true
  end
  return not (later and (r.kind == 'resumed' or r.kind == 'lost'))
end

local refusal, which = nil, 0
for i, level in ipairs(levels) do
  local r, hard = level.record, level.limit >= 0
  if not r then
    if hard and not refusal then refusal, which = 'bad', i end
  else
    local fresh = string.format('%013d', now * 1000 + math.floor(clock[2] / 1000)) .. '-' .. ARGV[2]
    if is_lost(level) then
      r.epoch, r.seq, r.missing, level.changed = fresh, r.seq + 1, false, true
      r.kind = (hard and ARGV[3] == 'closed') and 'lost' or 'resumed'
    elseif r.missing then
      r.start, r.epoch, level.rolled = level.start, fresh, true
    elseif r.start < level.start then
      r.start, r.spent, r.held, r.base, r.seq, r.kind = level.start, 0, 0, 0, r.seq + 1, 'new'
      level.rolled = true
    elseif level.changed then
      r.seq = r.seq + 1
    end
    if r.kind == 'lost' then
      if not hard or ARGV[3] ~= 'closed' then
        r.kind, r.seq, level.changed = 'resumed', r.seq + 1, true
      elseif not refusal then
        refusal, which = 'lost', i
      end
    end
  end
end

local function close(code, detail, charged)
  local reply = {code, now, detail}
  for _, level in ipairs(levels) do
    local r = level.record
    -- A roll that was told must be there when the router asks again; a record that holds nothing need not be.
    if r and (level.changed or charged or (level.rolled and not r.missing)) then write(level.key, r, level.ends) end
    reply[#reply + 1] = r and told(r) or false
  end
  return reply
end

if op == 'look' then return close(refusal or 'ok', which, false) end

local held = redis.pcall('GET', KEYS[1])
if held then
  if op == 'book' or type(held) ~= 'string' then return close('ok', 0, false) end
  if held == 'x' then return close('gone', 0, false) end
  return close('ok', tonumber(string.match(held, '^%d+')), false)
end

local amount
if op == 'book' then
  amount = tonumber(ARGV[first_amount])
elseif refusal then
  return close(refusal, which, false)
else
  for i = first_amount, #ARGV do
    local candidate, fits = tonumber(ARGV[i]), true
    for _, level in ipairs(levels) do
      if level.limit >= 0 and level.record.spent + candidate > level.limit then fits = false end
    end
    if fits then
      amount = candidate
      break
    end
  end
  if not amount then return close('full', 0, false) end
end

local words = {text(amount)}
for _, level in ipairs(levels) do
  local r = level.record
  if r then
    r.spent, r.seq = math.min(MOST, r.spent + amount), r.seq + 1
    if op == 'reserve' then r.held = r.held + amount end
  end
  words[#words + 1] = r and text(r.start) or '-'
  words[#words + 1] = r and r.epoch or '-'
end
redis.call('SET', KEYS[1], op == 'book' and 'x' or table.concat(words, ' '), 'EX', ARGV[4])
return close('ok', amount, true)
