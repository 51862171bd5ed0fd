-- wrk ... URL -- BODY_FILE HEADERS_FILE METHOD PAUSE_MS
-- With a pause each connection thinks that long between two requests, drawn exponentially, so that
-- arrivals are nearly those of independent callers.
local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  wrk.method = args[3]
  wrk.body = contents(args[1])
  for line in contents(args[2]):gmatch("[^\n]+") do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
  local pause = tonumber(args[4])
  if pause > 0 then
    math.randomseed(pause * 1000 + os.time())
    delay = function()
      return math.floor(-pause * math.log(1 - math.random()) + 0.5)
    end
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    "\nresult {\"requests\":%d,\"seconds\":%.6f,\"p50\":%.3f,\"p99\":%.3f,\"refused\":%d,\"broken\":%d}\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.status, e.connect + e.read + e.write + e.timeout))
end
