<?php

class Tools extends ToolsCore
{
    /**
     * The rules written for the shop's address hold for every address: the site is given another one at each start.
     */
    public static function generateHtaccess($path = null, $rewrite_settings = null, $cache_control = null, $specific = '', $disable_multiviews = null, $medias = false, $disable_modsec = null)
    {
        $done = parent::generateHtaccess($path, $rewrite_settings, $cache_control, $specific, $disable_multiviews, $medias, $disable_modsec);
        $path ??= _PS_ROOT_DIR_ . '/.htaccess';
        if ($done && is_file($path)) {
            $rules = preg_replace('~^(?:RewriteCond %\{HTTP_HOST\} .*|#Domain: .*)\R~m', '', file_get_contents($path));
            file_put_contents($path, $rules);
        }

        return $done;
    }
}
