# What a technician would make of this WordPress without the project: the distribution's server and its settings,
# the site's files in one image, its dump in the other. The files and the dump are those of our own image.
ARG SITE
FROM $SITE AS site
RUN /opt/e5b/build/with-database mariadb-dump --defaults-file=/opt/e5b/etc/client.cnf --single-transaction \
    wordpress >/site.sql

FROM debian:trixie-slim AS database
RUN apt-get update \
 && apt-get install -y --no-install-recommends mariadb-server \
 && rm -rf /var/lib/apt/lists/* /var/lib/mysql
COPY --from=site /site.sql /docker-entrypoint-initdb.d/
COPY database-entrypoint /usr/local/bin/
VOLUME /var/lib/mysql
ENTRYPOINT ["database-entrypoint"]

FROM debian:trixie-slim AS web
RUN apt-get update \
 && apt-get install -y --no-install-recommends apache2 libapache2-mod-php \
    php-mysql php-mbstring php-gd php-xml php-curl php-intl php-zip \
 && rm -rf /var/lib/apt/lists/* /var/www/html \
 && a2enmod rewrite headers expires \
 && sed -i '/<Directory \/var\/www\/>/,/<\/Directory>/s/AllowOverride None/AllowOverride All/' /etc/apache2/apache2.conf
COPY --from=site --chown=www-data:www-data /var/www/site /var/www/html
RUN cd /var/www/html \
 && sed -i -e "s|rtrim((string) @file_get_contents('/run/e5b/url'))|getenv('SITE_URL')|" \
    -e "s|'DB_USER', '[^']*'|'DB_USER', 'site'|" -e "s|'DB_PASSWORD', '[^']*'|'DB_PASSWORD', 'site'|" \
    -e "s|'DB_HOST', '[^']*'|'DB_HOST', 'db'|" wp-config.php
CMD ["apachectl", "-D", "FOREGROUND"]
