-- What xmpp-proxy asks of the Prosody behind it: every stream has been encrypted and its certificate judged over there, so
-- that it counts as secure and proven here, although Prosody sees plain TCP on loopback. For tests alone.

local function proven(session)
	session.secure = true;
	session.cert_chain_status = "valid";
	session.cert_identity_status = "valid";
end

module:hook("s2s-stream-features", function (event)
	proven(event.origin);
end, 1000);

module:hook_tag("http://etherx.jabber.org/streams", "features", function (session)
	proven(session);
end, 1000);
