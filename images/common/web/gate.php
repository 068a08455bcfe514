<?php
// Put before every PHP script by the web server. The request shares the gate for as long as it lasts, so that
// quiesce can wait for it, and waits here while the site is held. "e" keeps the lock out of child processes.

final class E5bGate
{
    private static $gate;

    public static function pass(): void
    {
        $turnstile = @fopen('/run/e5b/turnstile', 're');
        self::$gate = @fopen('/run/e5b/gate', 're');
        if ($turnstile && self::$gate) {
            flock($turnstile, LOCK_SH);
            flock(self::$gate, LOCK_SH);
            fclose($turnstile);
        }
    }
}

E5bGate::pass();

// What a candidate is told is saved survives a power cut: the database sees to itself, an uploaded file lies in the
// kernel's memory until it is written. Before the answer leaves, and only this container's own files.
if (($_SERVER['REQUEST_METHOD'] ?? '') === 'POST') {
    register_shutdown_function(static fn () => exec('sync -f /var/www/site'));
}
