-- The subject's documents, read from the folder in memory that the controller fills. HAProxy itself decides who is led
-- here (haproxy.cfg): the candidates of an open seat to their subject, the staff to the jury's documents.
local folder = "/e5b/documents/"
local kinds = { pdf = "application/pdf", html = "text/html; charset=utf-8" }
local part = 65536

local missing = [[<!doctype html><html lang="fr"><head><meta charset="utf-8"><title>Sujet</title></head>
<body><p>Ce document n’est pas disponible. Appelez un surveillant.</p></body></html>
]]

local function serve(applet, path)
    local kind = kinds[path:match("%.(%a+)$")]
    local file = kind and not path:find("..", 1, true) and io.open(folder .. path, "rb")
    applet:add_header("cache-control", "no-store")
    if not file then
        applet:set_status(404)
        applet:add_header("content-type", kinds.html)
        applet:add_header("content-length", tostring(#missing))
        applet:start_response()
        if applet.method ~= "HEAD" then applet:send(missing) end
        return
    end
    applet:set_status(200)
    applet:add_header("content-type", kind)
    applet:add_header("content-length", tostring(file:seek("end")))
    applet:add_header("content-disposition", "inline")
    applet:add_header("x-content-type-options", "nosniff")
    applet:start_response()
    file:seek("set")
    local content = applet.method ~= "HEAD" and file:read(part)
    while content do
        applet:send(content)
        content = file:read(part)
    end
    file:close()
end

core.register_service("subject", "http", function(applet)
    serve(applet, (applet:get_var("txn.subject") or "none") .. "/sujet.pdf")
end)

core.register_service("jury", "http", function(applet)
    local path = applet.path:match("^/jury/([%w/.-]*)$") or "none"
    serve(applet, "jury/" .. (path == "" and "index.html" or path))
end)
