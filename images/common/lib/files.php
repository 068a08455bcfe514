<?php

declare(strict_types=1);

/** The manifest's entry for what is at a path now, or null when there is nothing it would list. */
function entry(string $path): ?string
{
    $stat = @lstat($path);
    if ($stat === false) {
        return null;
    }
    $owner = $stat['uid'] . ':' . $stat['gid'];
    $mode = sprintf('%04o', $stat['mode'] & 07777);
    return match ($stat['mode'] & 0170000) {
        0100000 => "f:$mode:$owner:" . content_digest($path),
        0120000 => "l:$owner:" . readlink($path),
        0040000 => "d:$mode:$owner",
        default => null,
    };
}

function content_digest(string $path): string
{
    // OpenSSL uses the processor's own SHA instructions, PHP's hash extension does not everywhere.
    $size = filesize($path);
    clearstatcache(true, $path);
    return $size < 64 << 20 ? openssl_digest(file_get_contents($path), 'sha256') : hash_file('sha256', $path);
}

/** @return Generator<string> every path of the file system that is not volatile, the root itself left out */
function walk(Volatile $volatile, string $directory = ''): Generator
{
    foreach (scandir($directory === '' ? '/' : $directory) as $name) {
        if ($name === '.' || $name === '..') {
            continue;
        }
        $path = "$directory/$name";
        // The manifest cannot list itself; its digest is a part of the fingerprint.
        if ($volatile->file($path) || $path === MANIFEST) {
            continue;
        }
        yield $path;
        if (is_dir($path) && !is_link($path)) {
            yield from walk($volatile, $path);
        }
    }
}

/**
 * The image's baked list of files. It is searched in place, by halving: turning its tens of thousands of
 * lines into an array would cost more than all the rest of an incremental fingerprint.
 */
final class Manifest
{
    private readonly string $text;

    public function __construct(string $path = MANIFEST)
    {
        $this->text = file_get_contents($path);
    }

    public function digest(): string
    {
        return 'sha256:' . openssl_digest($this->text, 'sha256');
    }

    public function entry(string $path): ?string
    {
        $line = $this->line($this->position($path));
        return $line !== null && $line[1] === $path ? $line[0] : null;
    }

    /** @return Generator<string> every listed path under a directory */
    public function under(string $directory): Generator
    {
        $offset = $this->position("$directory/");
        while (($line = $this->line($offset)) !== null && str_starts_with($line[1], "$directory/")) {
            yield $line[1];
            $offset = $line[2];
        }
    }

    /** @return Generator<string> what is listed directly in a directory, without reading what is deeper */
    public function children(string $directory): Generator
    {
        $offset = $this->position("$directory/");
        $skip = strlen($directory) + 1;
        while (($line = $this->line($offset)) !== null && str_starts_with($line[1], "$directory/")) {
            $slash = strpos($line[1], '/', $skip);
            if ($slash === false) {
                yield $line[1];
                $offset = $line[2];
            } else {
                // "0" is the byte after "/": the first path beyond this sub-directory's content.
                $offset = $this->position(substr($line[1], 0, $slash) . '0');
            }
        }
    }

    /** @return Generator<string, string> path => entry */
    public function all(): Generator
    {
        $offset = 0;
        while (($line = $this->line($offset)) !== null) {
            yield $line[1] => $line[0];
            $offset = $line[2];
        }
    }

    /** Offset of the first line whose path is not before the given one. */
    private function position(string $path): int
    {
        $low = 0;
        $length = $high = strlen($this->text);
        while ($low < $high) {
            $middle = ($low + $high) >> 1;
            $newline = $middle === 0 ? false : strrpos($this->text, "\n", $middle - 1 - $length);
            $start = $newline === false ? 0 : $newline + 1;
            $line = $this->line($start);
            if (strcmp($line[1], $path) < 0) {
                $low = $line[2];
            } else {
                $high = $start;
            }
        }
        return $low;
    }

    /** @return array{string, string, int}|null entry, path, offset of the next line */
    private function line(int $offset): ?array
    {
        if ($offset >= strlen($this->text)) {
            return null;
        }
        $end = strpos($this->text, "\n", $offset);
        $tab = strpos($this->text, "\t", $offset);
        return [
            substr($this->text, $offset, $tab - $offset),
            substr($this->text, $tab + 1, $end - $tab - 1),
            $end + 1,
        ];
    }
}

/** @return iterable<string> the NUL-separated paths on standard input */
function paths_given(): iterable
{
    foreach (explode("\0", stream_get_contents(STDIN)) as $path) {
        if ($path === '') {
            continue;
        }
        if ($path[0] !== '/') {
            throw new RuntimeException("a path that is not absolute was given: $path");
        }
        yield $path === '/' ? $path : rtrim($path, '/');
    }
}

/**
 * What differs from the manifest among the given paths.
 *
 * A directory that was removed is given alone, and one that was removed and made again is given with its new
 * content only: so what the manifest lists inside is looked for too.
 *
 * @param iterable<string> $paths
 * @return array<string, string> path => entry, or "deleted"
 */
function differences(Manifest $manifest, Volatile $volatile, iterable $paths): array
{
    $found = [];
    foreach ($paths as $path) {
        if ($path === '/' || $path === MANIFEST || isset($found[$path]) || $volatile->file($path)) {
            continue;
        }
        $now = entry($path);
        $was = $manifest->entry($path);
        if ($now !== $was) {
            $found[$path] = $now ?? 'deleted';
        }
        if ($was === null || $was[0] !== 'd') {
            continue;
        }
        if ($now === null || $now[0] !== 'd') {
            foreach ($manifest->under($path) as $inside) {
                $found[$inside] = 'deleted';
            }
            continue;
        }
        foreach ($manifest->children($path) as $child) {
            if (@lstat($child) === false) {
                $found[$child] = 'deleted';
                foreach ($manifest->under($child) as $inside) {
                    $found[$inside] = 'deleted';
                }
            }
        }
    }
    ksort($found, SORT_STRING);
    return $found;
}

/** @return array<string, string> the same, by reading the whole file system */
function all_differences(Manifest $manifest, Volatile $volatile): array
{
    $listed = iterator_to_array($manifest->all());
    $found = [];
    foreach (walk($volatile) as $path) {
        $now = entry($path);
        if ($now !== ($listed[$path] ?? null)) {
            $found[$path] = $now ?? 'deleted';
        }
        unset($listed[$path]);
    }
    $found += array_fill_keys(array_keys($listed), 'deleted');
    ksort($found, SORT_STRING);
    return $found;
}
