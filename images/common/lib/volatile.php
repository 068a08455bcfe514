<?php

declare(strict_types=1);

/** What may change by itself, as /opt/e5b/volatile.json declares it. */
final class Volatile
{
    /** @var array<string, string> table => SQL condition that keeps a row */
    public readonly array $rows;
    /** @var array<string, list<string>> table => columns left out */
    public readonly array $columns;
    private readonly string $pattern;

    public function __construct(string $path = E5B . '/volatile.json')
    {
        $declared = json_decode(file_get_contents($path), true, 16, JSON_THROW_ON_ERROR);
        $this->rows = $declared['rows'] ?? [];
        $this->columns = $declared['columns'] ?? [];
        // One expression instead of a loop of fnmatch: a full walk asks it fifty thousand times.
        $globs = array_map(
            static fn (string $glob): string => strtr(preg_quote($glob, '~'), ['\\*' => '.*', '\\?' => '.']),
            $declared['files']
        );
        $this->pattern = '~^(?:' . implode('|', $globs) . ')$~Ds';
    }

    public function file(string $path): bool
    {
        return preg_match($this->pattern, $path) === 1;
    }
}
