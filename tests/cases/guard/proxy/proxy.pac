// Everything passes the guard's proxy, but for the candidates' own sites.
function FindProxyForURL(url, host) {
  if (host == "examen.lan") return "DIRECT";
  return "PROXY %[req.hdr(host),host_only]:3128";
}
