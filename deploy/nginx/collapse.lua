-- Joins simultaneous requests for one object: the first fetches it into the cache, the others wait until it is there
-- and are woken at that moment.

local semaphore = require "ngx.semaphore"

local collapse = {}

-- What is being fetched now, by cache key.
local fetches = {}

-- Longer than the origin holds a request.
local PATIENCE = 65

-- An error that is not to be stored is the answer to all who waited for it, and to nobody who comes later.
local function refused(answer)
    return answer.status >= 400 and (answer.header["Cache-Control"] or "no-store"):find("no-store", 1, true)
end

local function refuse(answer)
    ngx.status = answer.status
    for name, value in pairs(answer.header) do
        local lower = name:lower()
        if lower ~= "content-length" and lower ~= "content-encoding" and lower ~= "connection" then
            ngx.header[name] = value
        end
    end
    -- nginx's own words where the origin is out of reach have neither.
    ngx.header["Cache-Control"] = "no-store"
    ngx.header["Access-Control-Allow-Origin"] = "*"
    ngx.say("The origin refused this with status ", answer.status, ".")
    return ngx.exit(ngx.HTTP_OK)
end

-- In the access phase: returns when the object is in the cache.
function collapse.join()
    local method = ngx.req.get_method()
    if method ~= "GET" and method ~= "HEAD" then
        return
    end
    local key = ngx.var.object
    local fetch = fetches[key]
    if fetch then
        fetch.waiting = fetch.waiting + 1
        fetch.done:wait(PATIENCE)
    else
        fetch = { waiting = 0, done = semaphore.new() }
        fetches[key] = fetch
        -- The same address again, as a subrequest, which skips this phase: nginx fetches the object whole, and stores it,
        -- though HEAD brings only its head here. Where the object is there already, this costs some microseconds.
        local again = { method = ngx.HTTP_HEAD, args = ngx.var.args }
        local made, answer = pcall(ngx.location.capture, ngx.var.uri, again)
        if made then
            fetch.answer = answer
        else
            ngx.log(ngx.ERR, "not joined: ", answer)
        end
        fetches[key] = nil
        if fetch.waiting > 0 then
            fetch.done:post(fetch.waiting)
        end
    end
    if fetch.answer and refused(fetch.answer) then
        return refuse(fetch.answer)
    end
end

-- Age, by the date that the origin put on it.
function collapse.tell_age()
    local date = ngx.var.upstream_http_date
    local made = date and ngx.parse_http_time(date)
    if made then
        ngx.header.Age = math.max(0, ngx.time() - made)
    end
end

return collapse
